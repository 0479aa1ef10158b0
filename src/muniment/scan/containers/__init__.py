"""Files that hold files: archives and compressions."""
