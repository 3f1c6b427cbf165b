// OslerModels
