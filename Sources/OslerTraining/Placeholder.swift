// OslerTraining
