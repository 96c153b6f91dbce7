"""hutong.Client: the API from Python."""
