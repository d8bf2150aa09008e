"""Transports: sockets and WebSocket connections of charge points. They know nothing of OCPP."""
