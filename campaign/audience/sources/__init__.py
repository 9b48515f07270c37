"""Rows from anywhere: text files, workbooks, columnar files, databases, each in bounded chunks with their lines."""
