"""One turn of the loop: snapshot in, outcome out."""
