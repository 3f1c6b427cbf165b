// OslerInference
