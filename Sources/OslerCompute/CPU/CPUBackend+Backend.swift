/// All parts are there: `CPUBackend+Products`, `+Loss`, `+Elementwise`, `+Optimizer`, `+Attention`.
extension CPUBackend: Backend {}
