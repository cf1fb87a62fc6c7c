settings: object
