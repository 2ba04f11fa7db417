"""Networks of a space, measured: emitted by the thousand, timed here or on boards, and what predicts them."""
