"""Charges as rows of FOCUS 1.2, the FinOps open cost and usage specification (focus.finops.org, May 2025).

A billing account is an institution, a sub-account a project. Awards and vouchers are rows of category Credit
beside the use that they paid, never a smaller use; money paid in advance is a Purchase with an effective cost
of 0. Columns that FOCUS does not know begin with `x_`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hutong.core.book.money import COMMITTED, MOVED_TO, UsageRecord
from hutong.core.kernel.money import CURRENCY, format_micro
from hutong.core.kernel.rating import CARD_HOUR_MS, MILLION_TOKENS
from hutong.core.kernel.times import utc_seconds
from hutong.core.ledger.charges import Category, Charge
from hutong.core.ledger.commitments import UNUSED
from hutong.core.ledger.prices import GB_DAY_BYTE_HOURS, ListPrices, skus_of_tokens

VERSION = "1.2"
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
    "ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory", "CommitmentDiscountId",
    "CommitmentDiscountName", "CommitmentDiscountQuantity", "CommitmentDiscountStatus",
    "CommitmentDiscountType", "CommitmentDiscountUnit", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
    "ContractedUnitPrice", "EffectiveCost", "InvoiceId", "InvoiceIssuerName", "ListCost", "ListUnitPrice",
    "PricingCategory", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity", "PricingUnit",
    "ProviderName", "PublisherName", "RegionId", "RegionName", "ResourceId", "ResourceName",
    "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId", "SkuMeter",
    "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "x_BillingAccountNameZh",
    "x_CO2eGrams", "x_ChargeId", "x_DeviceModel", "x_EnergyKwh", "x_GreenKwh", "x_InstitutionKind",
    "x_SourceId", "x_SourceKind", "x_SubAccountTitle",
)  # fmt: skip

_DIGITS = 12
_JOULES_PER_KWH = 3_600_000


@dataclass(frozen=True, slots=True)
class _Unit:
    """How a unit of use is told: its meter, what is consumed, what is priced, and how many units that is."""

    meter: str
    consumed: str
    consumed_per: int
    priced: str
    priced_per: int
    resource: str
    category: str
    service: str
    subcategory: str


_MODELS = ("Model request", "AI and Machine Learning", "Model inference", "Generative AI")
_UNITS = {
    "card_ms": _Unit(
        "Card time",
        "Card-Hours",
        CARD_HOUR_MS,
        "Card-Hours",
        CARD_HOUR_MS,
        "Job attempt",
        "Compute",
        "Accelerated computing",
        "Other (Compute)",
    ),
    "byte_hour": _Unit(
        "Storage",
        "GB-Hours",
        10**9,
        "GB-Days",
        GB_DAY_BYTE_HOURS,
        "Models of a project",
        "Storage",
        "Model storage",
        "Object Storage",
    ),
    "unused_ms": _Unit(
        "Unused card time",
        "Card-Hours",
        CARD_HOUR_MS,
        "Card-Hours",
        CARD_HOUR_MS,
        "Commitment",
        "Compute",
        "Accelerated computing",
        "Other (Compute)",
    ),
    "token_in": _Unit("Input tokens", "Tokens", 1, "1000000 Tokens", MILLION_TOKENS, *_MODELS),
    "token_out": _Unit("Output tokens", "Tokens", 1, "1000000 Tokens", MILLION_TOKENS, *_MODELS),
    "service_request": _Unit("Requests", "Requests", 1, "Requests", 1, *_MODELS),
}


@dataclass(frozen=True, slots=True)
class Payer:
    """Who is billed for a project, and the span of the billing period, UTC milliseconds.

    `kind` is the institution's at the time. `regions` are names of sites by id, `listed` the list prices. The
    validator of FOCUS takes ASCII only for names: Chinese ones stand in columns of our own.
    """

    institution: str
    name_en: str
    name_zh: str
    kind: str
    project: str
    project_title: str
    issuer: str
    from_ms: int
    upto_ms: int
    regions: Mapping[str, str] = field(default_factory=dict)
    invoice: str = ""
    listed: ListPrices = field(default_factory=ListPrices)


Row = dict[str, str]
"""A row by column; a column that is not there is null. Prices are in the currency of the bill."""

_Price = tuple[str, str, str, int, int, int, int]


def focus_row(charge: Charge, payer: Payer) -> Row:
    """Return a charge as a row. Sums of BilledCost and EffectiveCost are exact to the micro-yuan."""
    return next(focus_rows((charge,), payer))


def focus_rows(charges: Iterable[Charge], payer: Payer) -> Iterator[Row]:
    """Yield the rows of charges of one payer, in memory bounded by what differs in price."""
    same, prices = _of_payer(payer), dict[_Price, Row]()
    for charge in charges:
        yield same | _row(charge, payer, prices)


def _row(charge: Charge, payer: Payer, prices: dict[_Price, Row]) -> Row:
    billed, effective = _decimal(charge.billed_micro), _decimal(charge.effective_micro)
    row = _other(charge, billed) if charge.record is None else _use(charge.record, payer, prices)
    row["BilledCost"] = billed
    row["ChargeCategory"] = charge.category.value
    row["ChargeFrequency"] = "Usage-Based" if charge.category is Category.USAGE else "One-Time"
    row["ChargePeriodEnd"] = utc_seconds(max(-(-charge.upto_ms // 1000) * 1000, charge.from_ms + 1000))
    row["ChargePeriodStart"] = utc_seconds(charge.from_ms)
    row["EffectiveCost"] = row["PricingCurrencyEffectiveCost"] = effective
    row["x_ChargeId"] = charge.id
    if charge.kind:
        row["x_SourceKind"] = charge.kind
    if charge.correction:
        row["ChargeClass"] = "Correction"
    if charge.source:
        row["x_SourceId"] = charge.source
    return row


def in_columns(row: Row) -> list[str]:
    """Return the values of a row in the order of `COLUMNS`, empty for null."""
    return [row.get(column, "") for column in COLUMNS]


def _of_payer(payer: Payer) -> Row:
    """Return what all rows of a payer have in common."""
    row = {
        "BillingAccountId": payer.institution,
        "BillingAccountName": _ascii(payer.name_en, payer.institution),
        "BillingCurrency": CURRENCY,
        "BillingPeriodEnd": utc_seconds(payer.upto_ms),
        "BillingPeriodStart": utc_seconds(payer.from_ms),
        "InvoiceId": payer.invoice,
        "InvoiceIssuerName": payer.issuer,
        "PricingCurrency": CURRENCY,
        "ProviderName": payer.issuer,
        "PublisherName": payer.issuer,
        "SubAccountId": payer.project,
        "SubAccountName": _ascii(payer.project_title, payer.project),
        "x_BillingAccountNameZh": payer.name_zh,
        "x_InstitutionKind": payer.kind,
        "x_SubAccountTitle": payer.project_title,
    }
    return {column: value for column, value in row.items() if value}


def _ascii(name: str, otherwise: str) -> str:
    return name if name.isascii() and name.strip() else otherwise


def _use(record: UsageRecord, payer: Payer, prices: dict[_Price, Row]) -> Row:
    listed, per = _listed(record, payer.listed)
    price = (record.site, record.sku, record.unit, record.price_micro, record.per, listed, per)
    same = prices.get(price)
    if same is None:
        same = prices[price] = _of_price(record, payer, listed, per)
    unit = _UNITS[record.unit]
    row = dict(same)
    row["ConsumedQuantity"] = _fraction(record.quantity, unit.consumed_per)
    row["ContractedCost"] = _fraction(record.quantity * record.price_micro, record.per * 1_000_000)
    row["ListCost"] = _fraction(record.quantity * listed, per * 1_000_000)
    row["PricingQuantity"] = _fraction(record.quantity, unit.priced_per)
    row["ResourceId"] = record.key
    if record.key.startswith(COMMITTED) and record.method == MOVED_TO:
        _commit(row, record)
    row["x_CO2eGrams"] = _fraction(record.co2_mg, 1000)
    row["x_EnergyKwh"] = _fraction(record.energy_j, _JOULES_PER_KWH)
    row["x_GreenKwh"] = _fraction(record.green_j, _JOULES_PER_KWH)
    return row


def _commit(row: Row, record: UsageRecord) -> None:
    """Say in a row of which commitment it is; what was unused was not consumed."""
    name = record.key.removeprefix(COMMITTED).partition(":")[0]
    unused = record.unit == UNUSED
    row |= {
        "CommitmentDiscountCategory": "Usage",
        "CommitmentDiscountId": name,
        "CommitmentDiscountName": name,
        "CommitmentDiscountQuantity": row["PricingQuantity"],
        "CommitmentDiscountStatus": "Unused" if unused else "Used",
        "CommitmentDiscountType": "Card-hours of a month",
        "CommitmentDiscountUnit": row["PricingUnit"],
        "PricingCategory": "Committed",
    }
    if unused:
        del row["ConsumedQuantity"], row["ConsumedUnit"]


def _listed(record: UsageRecord, prices: ListPrices) -> tuple[int, int]:
    """Return the list price of use when it began, micro-yuan for base units; what was paid where none is set.

    Records know no pools, so a list price of a single pool is not found.
    """
    match record.unit:
        case "card_ms" | "unused_ms":
            at_site = (f"card:{record.sku}@{record.site}",) if record.site else ()
            skus: tuple[str, ...] = (*at_site, f"card:{record.sku}")
        case "byte_hour":
            skus = ("storage",)
        case family:
            skus = skus_of_tokens(family, record.sku)
    found = prices.at(skus, record.from_ms)
    return (record.price_micro, record.per) if found is None else (found.micro, found.per)


def _of_price(record: UsageRecord, payer: Payer, listed_micro: int, per: int) -> Row:
    """Return what all use of one thing at one price has in common."""
    unit = _UNITS[record.unit]
    sku = f"{record.site}/{record.sku}/{record.unit}"
    unit_price = _fraction(record.price_micro * unit.priced_per, record.per * 1_000_000)
    list_price = _fraction(listed_micro * unit.priced_per, per * 1_000_000)
    where = _ascii(payer.regions.get(record.site, ""), record.site)
    row = {
        "ChargeDescription": f"{unit.meter} of {record.sku}" + (f" at {where}" if where else ""),
        "ConsumedUnit": unit.consumed,
        "ContractedUnitPrice": unit_price,
        "ListUnitPrice": list_price,
        "PricingCategory": "Standard",
        "PricingCurrencyContractedUnitPrice": unit_price,
        "PricingCurrencyListUnitPrice": list_price,
        "PricingUnit": unit.priced,
        "RegionId": record.site,
        "RegionName": where,
        "ResourceType": unit.resource,
        "ServiceCategory": unit.category,
        "ServiceName": unit.service,
        "ServiceSubcategory": unit.subcategory,
        "SkuId": sku,
        "SkuMeter": unit.meter,
        "SkuPriceId": f"{sku}@{format_micro(record.price_micro)}",
    }
    row["x_DeviceModel"] = record.sku if record.unit == "card_ms" else ""
    return {column: value for column, value in row.items() if value}


def _other(charge: Charge, billed: str) -> Row:
    row = {
        "ContractedCost": billed,
        "ListCost": billed,
        "ServiceCategory": "Other",
        "ServiceName": "Accounts",
        "ServiceSubcategory": "Other (Other)",
    }
    if charge.category is Category.CREDIT:
        return row | {"ChargeDescription": f"By {charge.kind}: {charge.source}"}
    if charge.category is Category.ADJUSTMENT:
        return row | {"ChargeDescription": f"Charged by {charge.cause} without a record of use"}
    return row | {
        "ChargeDescription": f"Paid in advance: {charge.source}",
        "ContractedUnitPrice": "1.0",
        "ListUnitPrice": "1.0",
        "PricingCurrencyContractedUnitPrice": "1.0",
        "PricingCurrencyListUnitPrice": "1.0",
        "PricingCategory": "Standard",
        "PricingQuantity": billed,
        "PricingUnit": CURRENCY,
        "SkuId": "topup",
        "SkuMeter": "Money paid in advance",
        "SkuPriceId": "topup@1",
    }


def _decimal(amount_micro: int) -> str:
    return _trim(format_micro(amount_micro))


def _fraction(amount: int, per: int) -> str:
    """Return `amount / per` with up to twelve places; a limit of the text, not of the record."""
    if not amount % per:
        return f"{amount // per}.0"
    sign = "-" if amount < 0 else ""
    scaled = (2 * abs(amount) * 10**_DIGITS + per) // (2 * per)
    whole, part = divmod(scaled, 10**_DIGITS)
    return _trim(f"{sign}{whole}.{part:0{_DIGITS}d}")


def _trim(text: str) -> str:
    """Return a decimal without needless zeros, but with one place: readers take `4` for an integer column."""
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0') or '0'}"
