// OslerTokenizers
