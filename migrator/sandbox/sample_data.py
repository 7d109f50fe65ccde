"""
The vocabulary of generated contacts and companies: names, titles, domains.

Every business domain ends in `.example`, which never resolves, so that no generated address can
exist.
"""

# As written, and as the local part of an e-mail spells it.
FIRST = (
    ("Ada", "ada"), ("Grace", "grace"), ("Alan", "alan"), ("Edsger", "edsger"),
    ("Barbara", "barbara"), ("Donald", "donald"), ("Margaret", "margaret"), ("Linus", "linus"),
    ("Radia", "radia"), ("José", "jose"), ("Zoë", "zoe"), ("Łukasz", "lukasz"),
    ("Siobhán", "siobhan"), ("Ægir", "aegir"), ("Anne-Marie", "annemarie"),
    ("Jean Luc", "jeanluc"), ("李", "li"), ("Олена", "olena"),
)  # fmt: skip

LAST = (
    ("Lovelace", "lovelace"), ("Hopper", "hopper"), ("Turing", "turing"), ("Dijkstra", "dijkstra"),
    ("Liskov", "liskov"), ("Knuth", "knuth"), ("Hamilton", "hamilton"), ("Perlman", "perlman"),
    ("O'Neil", "oneil"), ("García Márquez", "garciamarquez"), ("Müller-Lüdenscheidt", "mueller"),
    ("van der Berg", "vanderberg"), ("Nguyễn", "nguyen"), ("Þórsdóttir", "thorsdottir"),
    ("王", "wang"), ("Шевченко", "shevchenko"),
)  # fmt: skip

RIGHT_TO_LEFT = (("محمد", "الفارسي"), ("שרה", "כהן"), ("ליאור", "לוי"))
# Decomposed: base letter and accent are separate characters.
COMBINING = (("Jose\u0301", "Nun\u0303ez"), ("Rene\u0301e", "Muller"), ("A\u030asa", "O\u0308berg"))
EMOJI = (("Ana 🌻", "Silva"), ("🚀 Max", "Power"), ("Lily", "Chen 🎉"))

# Marks that are punctuation by any definition.
MARKS = (",", "?", "!", "_", "/", "-", ":", ";")

TITLES = (
    "Chief Technology Officer", "Head of Procurement", "Account Executive", "Software Engineer",
    "Geschäftsführer", "Directrice des opérations", "VP, Sales & Marketing", "営業部長", "مدير عام",
    "Owner", "Intern 🌱", "Teamlead \"Platform\" <interim>",
)  # fmt: skip

LIFECYCLES = ("subscriber", "lead", "marketingqualifiedlead", "opportunity", "customer")
STATUSES = ("NEW", "OPEN", "IN_PROGRESS", "CONNECTED", "BAD_TIMING")
INDUSTRIES = ("COMPUTER_SOFTWARE", "MECHANICAL_OR_INDUSTRIAL_ENGINEERING", "RETAIL", "BANKING")

FIRMS = ("Northwind", "Contoso", "Fabrikam", "Initech", "Umbrella", "Tyrell", "Wonka", "Acme")
KINDS_OF_FIRM = ("GmbH", "Ltd.", "Inc.", "S.A.", "& Söhne", "株式会社", "Group", "Co-op")
PLACES = (("Berlin", "Germany"), ("São Paulo", "Brazil"), ("Kraków", "Poland"), ("Nashua", "USA"))

# Guide, section 6: a company cannot be derived from one of these.
FREE_MAIL = (
    "gmail.com", "yahoo.com", "hotmail.com", "outlook.com", "gmx.de", "icloud.com", "web.de",
    "aol.com",
)  # fmt: skip
