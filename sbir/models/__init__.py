from sbir.models.method import Method as Method
