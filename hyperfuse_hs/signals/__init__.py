"""Signal classes that HyperSpy finds through hyperspy_extension.yaml."""
