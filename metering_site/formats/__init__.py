"""How pages write dates: day before month, 24 hours, so that a column of them is narrow and unambiguous."""
