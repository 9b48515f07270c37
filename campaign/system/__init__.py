"""What any part of the program needs of the operating system, said once."""
