"""HANT (arXiv 2107.10624): candidates learn the teacher's blocks one by one, an integer program picks among them."""
