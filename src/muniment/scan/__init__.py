"""Whether files of models do harm when they are loaded, told from their bytes.

Reads pickles and other formats without running anything in them; what is not on the allow-list, and
what cannot be read to its end, is a finding. For client and server: nothing here knows either, a
network or a database.
"""
