"""One module a row of the table: each offers `cases(kills)`, what to run, and the functions that run them."""
