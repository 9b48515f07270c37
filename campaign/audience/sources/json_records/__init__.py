"""Lists of JSON objects, one a line or in an array: values keep their types, numbers stay exact."""
