"""TP, the TYQ-i Protocol: the message, the data types, their validation and their codecs."""
