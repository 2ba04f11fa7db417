"""Recipes as data files, one a method."""
