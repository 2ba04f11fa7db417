"""Backends behind one interface: named arrays in, named arrays out."""
