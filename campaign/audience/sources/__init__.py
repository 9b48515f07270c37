"""Sources of rows: text files, workbooks, columnar files and databases, read in bounded chunks with line numbers."""
