"""Erasing a user: everything that names them names a pseudonym instead, everywhere, and it is proven."""
