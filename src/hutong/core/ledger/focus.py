"""Charges as rows of FOCUS 1.2, the FinOps open cost and usage specification (focus.finops.org, May 2025).

A billing account is an institution, a sub-account a project. Awards and vouchers are rows of category Credit
beside the use that they paid, never a smaller use; money paid in advance is a Purchase with an effective cost
of 0. Columns that FOCUS does not know begin with `x_`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hutong.core.book.money import UsageRecord
from hutong.core.kernel.money import CURRENCY, format_micro
from hutong.core.kernel.rating import CARD_HOUR_MS, MILLION_TOKENS
from hutong.core.kernel.times import utc_seconds
from hutong.core.ledger.charges import Category, Charge

VERSION = "1.2"
COLUMNS = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargeFrequency",
    "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
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


_UNITS = {
    "card_ms": _Unit("Card time", "Card-Hours", CARD_HOUR_MS, "Card-Hours", CARD_HOUR_MS),
    "token_in": _Unit("Input tokens", "Tokens", 1, "1000000 Tokens", MILLION_TOKENS),
    "token_out": _Unit("Output tokens", "Tokens", 1, "1000000 Tokens", MILLION_TOKENS),
}


@dataclass(frozen=True, slots=True)
class Payer:
    """Who is billed for a project, and the span of the billing period, UTC milliseconds.

    `kind` is the institution's at the time. `regions` are names of sites by id. The validator of FOCUS takes
    ASCII only for names: Chinese ones stand in columns of our own.
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


Row = dict[str, str]
"""A row by column; a column that is not there is null."""


def focus_row(charge: Charge, payer: Payer) -> Row:
    """Return a charge as a row. Sums of BilledCost and EffectiveCost are exact to the micro-yuan."""
    billed = _decimal(charge.billed_micro)
    row = {
        "BilledCost": billed,
        "BillingAccountId": payer.institution,
        "BillingAccountName": _ascii(payer.name_en, payer.institution),
        "BillingCurrency": CURRENCY,
        "BillingPeriodEnd": utc_seconds(payer.upto_ms),
        "BillingPeriodStart": utc_seconds(payer.from_ms),
        "ChargeCategory": charge.category.value,
        "ChargeFrequency": "Usage-Based" if charge.category is Category.USAGE else "One-Time",
        "ChargePeriodEnd": utc_seconds(max(-(-charge.upto_ms // 1000) * 1000, charge.from_ms + 1000)),
        "ChargePeriodStart": utc_seconds(charge.from_ms),
        "EffectiveCost": _decimal(charge.effective_micro),
        "InvoiceIssuerName": payer.issuer,
        "ProviderName": payer.issuer,
        "PublisherName": payer.issuer,
        "SubAccountId": payer.project,
        "SubAccountName": _ascii(payer.project_title, payer.project),
        "x_BillingAccountNameZh": payer.name_zh,
        "x_ChargeId": charge.id,
        "x_InstitutionKind": payer.kind,
        "x_SourceKind": charge.kind,
        "x_SubAccountTitle": payer.project_title,
    }
    if charge.correction:
        row["ChargeClass"] = "Correction"
    if payer.invoice:
        row["InvoiceId"] = payer.invoice
    if charge.source:
        row["x_SourceId"] = charge.source
    row |= _use(charge.record, payer) if charge.record else _other(charge, billed)
    row |= _in_pricing_currency(row)
    return {column: value for column, value in row.items() if value}


def _in_pricing_currency(row: Row) -> Row:
    """Prices are in the currency of the bill."""
    same = {"PricingCurrency": CURRENCY, "PricingCurrencyEffectiveCost": row["EffectiveCost"]}
    if "ListUnitPrice" in row:
        same["PricingCurrencyContractedUnitPrice"] = row["ContractedUnitPrice"]
        same["PricingCurrencyListUnitPrice"] = row["ListUnitPrice"]
    return same


def _ascii(name: str, otherwise: str) -> str:
    return name if name.isascii() and name.strip() else otherwise


def _use(record: UsageRecord, payer: Payer) -> Row:
    unit = _UNITS[record.unit]
    card = record.unit == "card_ms"
    sku = f"{record.site}/{record.sku}/{record.unit}"
    unit_price = _fraction(record.price_micro * unit.priced_per, record.per * 1_000_000)
    cost = _fraction(record.quantity * record.price_micro, record.per * 1_000_000)
    where = _ascii(payer.regions.get(record.site, ""), record.site)
    row = {
        "ChargeDescription": f"{unit.meter} of {record.sku} at {where}",
        "ConsumedQuantity": _fraction(record.quantity, unit.consumed_per),
        "ConsumedUnit": unit.consumed,
        "ContractedCost": cost,
        "ContractedUnitPrice": unit_price,
        "ListCost": cost,
        "ListUnitPrice": unit_price,
        "PricingCategory": "Standard",
        "PricingQuantity": _fraction(record.quantity, unit.priced_per),
        "PricingUnit": unit.priced,
        "RegionId": record.site,
        "RegionName": where,
        "ResourceId": record.key,
        "ResourceType": "Job attempt" if card else "Model request",
        "ServiceCategory": "Compute" if card else "AI and Machine Learning",
        "ServiceName": "Accelerated computing" if card else "Model inference",
        "ServiceSubcategory": "Other (Compute)" if card else "Generative AI",
        "SkuId": sku,
        "SkuMeter": unit.meter,
        "SkuPriceId": f"{sku}@{format_micro(record.price_micro)}",
        "x_CO2eGrams": _fraction(record.co2_mg, 1000),
        "x_EnergyKwh": _fraction(record.energy_j, _JOULES_PER_KWH),
        "x_GreenKwh": _fraction(record.green_j, _JOULES_PER_KWH),
    }
    return row | ({"x_DeviceModel": record.sku} if card else {})


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
    sign = "-" if amount < 0 else ""
    scaled = (2 * abs(amount) * 10**_DIGITS + per) // (2 * per)
    whole, part = divmod(scaled, 10**_DIGITS)
    return _trim(f"{sign}{whole}.{part:0{_DIGITS}d}")


def _trim(text: str) -> str:
    """Return a decimal without needless zeros, but with one place: readers take `4` for an integer column."""
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0') or '0'}"
