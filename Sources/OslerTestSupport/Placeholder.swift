// OslerTestSupport
