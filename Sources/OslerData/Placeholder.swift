// OslerData
