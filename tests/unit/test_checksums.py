"""Checksums of large values: the same whoever works them out, in how many pieces ever."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tyqi_core.stores import checksums
from tyqi_core.stores.checksums import beside, checksum, checksum_beside


@pytest.fixture(autouse=True, scope="module")
def _small_stripes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checksums, "STRIPE", 64)
        yield


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=6))
def test_it_depends_on_the_bytes_alone_not_on_pieces_or_threads(pieces):
    whole = checksum([b"".join(pieces)])
    assert checksum(pieces) == whole
    with checksum_beside(pieces) as found:
        pass
    assert found.result() == whole


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=500), st.data())
def test_any_changed_byte_changes_it(value, data):
    place = data.draw(st.integers(0, len(value) - 1))
    changed = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
    assert checksum([changed]) != checksum([value])


def test_what_fails_in_the_second_thread_is_raised_by_who_asks():
    with beside(lambda: 1 // 0, worth_it=True) as found:
        pass
    with pytest.raises(ZeroDivisionError):
        found.result()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # from Python 3.12 on it is warned of
def test_a_forked_child_works_them_out_as_well():
    value = b"x" * 1000
    expected = checksum([value])
    child = os.fork()
    if not child:
        os._exit(checksum([value]) != expected)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
