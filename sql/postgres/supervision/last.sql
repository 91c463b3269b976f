SELECT subject, seen FROM supervision
