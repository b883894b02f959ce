"""The words of the sample: categories, styles, colours, names, places, staff notes.

What belongs here: lists only. Everything personal is obviously invented: mail addresses end in the domains reserved for examples (RFC 2606),
telephone numbers lie in the ranges that Ofcom keeps for drama, and postcodes begin with areas that do not exist (none begins with Q, V, X).
"""

from __future__ import annotations

CATEGORIES: dict[str, tuple[str, ...]] = {
    "CAND": (
        "T-LIGHT HOLDER",
        "PILLAR CANDLE",
        "CANDLE POT",
        "SCENTED VOTIVE",
        "LANTERN",
        "CANDLESTICK",
        "INCENSE CONES",
        "WAX MELTS",
    ),
    "TABL": (
        "MUG",
        "TEACUP AND SAUCER",
        "CAKE PLATE",
        "EGG CUP",
        "TEAPOT",
        "NAPKINS PACK OF 20",
        "PLACEMAT",
        "MILK JUG",
        "CAKE STAND",
    ),
    "BAGS": ("LUNCH BAG", "SHOPPER", "JUMBO BAG", "WASH BAG", "TOTE", "CHARLOTTE BAG", "PICNIC BAG", "PURSE"),
    "XMAS": (
        "CHRISTMAS BAUBLE",
        "CHRISTMAS GARLAND",
        "ADVENT CALENDAR",
        "CHRISTMAS STOCKING",
        "TREE STAR",
        "GIFT TAGS XMAS",
        "XMAS WREATH",
    ),
    "GARD": (
        "PLANT POT",
        "WATERING CAN",
        "BIRD FEEDER",
        "GARDEN MARKER",
        "SEED TIN",
        "HERB PLANTER",
        "GARDEN KNEELER",
        "BUNTING",
    ),
    "STAT": (
        "NOTEBOOK",
        "PENCIL SET",
        "WRITING PAPER",
        "GIFT WRAP",
        "BIRTHDAY CARD",
        "MEMO BLOCK",
        "STICKER SHEET",
        "TAPE MEASURE",
    ),
    "TOYS": (
        "SPINNING TOP",
        "SKITTLES",
        "DOLLY",
        "JIGSAW",
        "CHILDRENS APRON",
        "PLAYING CARDS",
        "WOODEN BLOCKS",
        "KITE",
        "MONEY BANK",
    ),
    "KITC": (
        "CAKE TIN",
        "BAKING CASES",
        "RECIPE BOX",
        "TEA TOWEL",
        "OVEN GLOVE",
        "JELLY MOULD",
        "BREAD BIN",
        "STORAGE JAR",
        "TEA COSY",
    ),
    "HOME": (
        "WALL CLOCK",
        "PHOTO FRAME",
        "DOORMAT",
        "COAT HOOK",
        "DRAWER KNOB",
        "METAL SIGN",
        "MIRROR",
        "HOT WATER BOTTLE",
        "DOORSTOP",
    ),
    "JEWL": ("BRACELET", "EARRINGS", "NECKLACE", "HAIR CLIP", "KEY RING", "BROOCH", "TRINKET BOX", "PHONE CHARM"),
    "TEXT": ("CUSHION COVER", "PICNIC BLANKET", "THROW", "APRON", "QUILT", "TABLE RUNNER", "SEWING KIT", "RIBBON REEL"),
    "PART": (
        "PARTY CUPS",
        "PAPER CHAIN",
        "CAKE TOPPER",
        "BALLOONS",
        "PARTY INVITES",
        "CONFETTI",
        "PAPER PLATES",
        "PARTY HATS",
    ),
}
STYLES = ("VINTAGE", "POLKADOT", "ROSE GARDEN", "NORDIC", "SEASIDE", "REGENCY")
COLOURS = ("RED", "BLUE", "IVORY", "GREEN", "PINK", "SILVER", "BLACK", "YELLOW")
SIZES = ("", "SMALL ", "LARGE ", "SET OF 3 ", "MINI ", "SET/6 ")

# Codes that are no goods, as in the real invoices; price 0 means that each booking has its own.
SERVICES: tuple[tuple[str, str, float], ...] = (
    ("POST", "POSTAGE", 18.0),
    ("DOT", "DOTCOM POSTAGE", 0.0),
    ("C2", "CARRIAGE", 50.0),
    ("M", "Manual", 0.0),
    ("D", "Discount", 0.0),
    ("S", "SAMPLES", 0.0),
    ("B", "Adjust bad debt", 0.0),
    ("BANK CHARGES", "Bank Charges", 0.0),
    ("ADJUST", "Adjustment by accounts", 0.0),
    ("AMAZONFEE", "AMAZON FEE", 0.0),
    ("CRUK", "CRUK Commission", 0.0),
    ("PADS", "PADS TO MATCH ALL CUSHIONS", 0.001),
    ("gift_0001_20", "Dotcomgiftshop Gift Voucher £20.00", 20.0),
    ("TEST001", "This is a test product.", 4.5),
)
STAFF_NOTES = (
    "damaged",
    "damages",
    "?",
    "check",
    "missing",
    "thrown away",
    "Found",
    "wet",
    "lost",
    "sold as set on dotcom",
    "smashed",
    "mixed up",
)

COUNTRIES = (
    "EIRE", "Germany", "France", "Netherlands", "Spain", "Belgium", "Switzerland", "Portugal", "Australia", "Channel Islands", "Italy",
    "Norway", "Sweden", "Cyprus", "Finland", "Austria", "Denmark", "Japan", "USA", "Greece", "Poland", "Unspecified",
)  # fmt: skip

GIVEN_NAMES = (
    "Ada", "Alfie", "Amara", "Anil", "Arthur", "Beth", "Callum", "Carys", "Chidi", "Clara", "Dafydd", "Dilys", "Edith", "Eilidh", "Elsie",
    "Fatima", "Fergus", "Florence", "George", "Grace", "Gwen", "Hamish", "Harriet", "Idris", "Imogen", "Ines", "Isla", "Jasper", "Jaya", "Joan",
    "Kamal", "Kezia", "Lachlan", "Leila", "Liam", "Mabel", "Marek", "Maud", "Mei", "Mohan", "Nadia", "Niamh", "Olive", "Omar", "Oscar", "Petra",
    "Priya", "Ravi", "Rhys", "Rosa", "Ruth", "Saoirse", "Siân", "Stefan", "Tamsin", "Theo", "Una", "Victor", "Wanda", "Zoë",
)  # fmt: skip
FAMILY_NAMES = (
    "Abbot", "Achebe", "Ainsley", "Barrow", "Bose", "Brindle", "Caddick", "Cheung", "Clough", "Crane", "Dacre", "Desai", "Drummond", "Ellwood",
    "Evans", "Fairley", "Farouk", "Finch", "Gallagher", "Garside", "Hale", "Hargreave", "Holt", "Iqbal", "Jessop", "Kaur", "Kirkbride", "Lomax",
    "Lowther", "MacInnes", "Mistry", "Moss", "Nowak", "Núñez", "O'Dowd", "Okafor", "Osgood", "Pryce", "Quayle", "Rawlins", "Rees", "Sandhu",
    "Shah", "Silva", "Sorley", "Stubbs", "Tanner", "Thwaite", "Underhill", "Vane", "Wainwright", "Wells", "Yeo", "Zielinski",
)  # fmt: skip
SHOP_WORDS = (
    "Hazel",
    "Thimble",
    "Rowan",
    "Lantern",
    "Magpie",
    "Juniper",
    "Harbour",
    "Clover",
    "Bramble",
    "Pebble",
    "Wren",
    "Saffron",
)
SHOP_KINDS = (
    "Gifts Ltd",
    "Trading Co",
    "Interiors",
    "& Daughters",
    "Emporium",
    "Cards and Gifts",
    "Garden Centre",
    "Wholesale Ltd",
)
POSTCODE_AREAS = ("QA", "QB", "QD", "QL", "VA", "VE", "VN", "XA", "XE", "XN", "XR", "XW")


def sql_list(values: tuple[str, ...] | list[str]) -> str:
    """A DuckDB list literal of texts."""
    return "[" + ", ".join("'" + value.replace("'", "''") + "'" for value in values) + "]"
