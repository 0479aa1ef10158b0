"""Impact: which versions contain something or were made of it, where they are, and by what path.

Owns nothing: it reads what the slices below have. Promises: every version that is named comes with
the path that leads to it. Does not decide what follows.
"""
