"""Microdata: survey and tax records as Frames of engine inputs, and what is imputed between them."""
