"""The local exchange lists KRW codes in order of turnover, with names and a price to start from.

Prices are orders of magnitude of 2026, in KRW; the market walks away from them by its seed.
"""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from upbit_exchange.wire.spelling import UNIT

CAUTIONS = (
    "PRICE_FLUCTUATIONS",
    "TRADING_VOLUME_SOARING",
    "DEPOSIT_AMOUNT_SOARING",
    "GLOBAL_PRICE_DIFFERENCES",
    "CONCENTRATION_OF_SMALL_ACCOUNTS",
)


class Market(msgspec.Struct, frozen=True):
    """A market and the price (10^-8 KRW) its walk starts near; 0 = drawn by the seed."""

    code: str
    korean_name: str
    english_name: str
    price: int = 0


def named(market: Market) -> dict[str, Any]:
    """Returns a market as `/v1/market/all` lists it."""
    return {"market": market.code, "korean_name": market.korean_name, "english_name": market.english_name}


def market_event(code: str) -> dict[str, Any]:
    """Returns a market's `market_event`: one in 8 is under warning, one in 16 under each caution, always the same."""
    draw = crc32(code.encode())
    cautions = {name: (draw >> 4 * place) % 16 == 0 for place, name in enumerate(CAUTIONS, start=1)}
    return {"warning": draw % 8 == 0, "caution": cautions}


# symbol, korean name, english name, price in KRW
_NAMED = """
BTC|비트코인|Bitcoin|116500000
ETH|이더리움|Ethereum|3426000
XRP|리플|XRP|2850
SOL|솔라나|Solana|195300
USDT|테더|Tether|1431
DOGE|도지코인|Dogecoin|231
ADA|에이다|Cardano|712
SUI|수이|Sui|2954
LINK|체인링크|Chainlink|21350
AVAX|아발란체|Avalanche|27480
SHIB|시바이누|Shiba Inu|0.0142
TRX|트론|TRON|427
BCH|비트코인캐시|Bitcoin Cash|718500
DOT|폴카닷|Polkadot|4183
NEAR|니어프로토콜|NEAR Protocol|3071
XLM|스텔라루멘|Stellar Lumens|389
HBAR|헤데라|Hedera|252
ETC|이더리움클래식|Ethereum Classic|22870
AAVE|에이브|Aave|281400
APT|앱토스|Aptos|4627
ARB|아비트럼|Arbitrum|448
ATOM|코스모스|Cosmos|4516
ALGO|알고랜드|Algorand|261
SEI|세이|Sei|276
PEPE|페페|Pepe|0.0101
STX|스택스|Stacks|673
IMX|이뮤터블엑스|Immutable X|771
SAND|샌드박스|The Sandbox|308
MANA|디센트럴랜드|Decentraland|337
AXS|엑시인피니티|Axie Infinity|2418
FLOW|플로우|Flow|418
CHZ|칠리즈|Chiliz|47.3
XTZ|테조스|Tezos|891
EOS|이오스|EOS|702
NEO|네오|NEO|7425
QTUM|퀀텀|Qtum|2847
VET|비체인|VeChain|26.4
ZRX|제로엑스|0x|291
BAT|베이직어텐션토큰|Basic Attention Token|193
WAVES|웨이브|Waves|1382
ICX|아이콘|ICON|141
GLM|골렘|Golem|284
STORJ|스토리지|Storj|311
KAVA|카바|Kava|453
ONT|온톨로지|Ontology|163
ZIL|질리카|Zilliqa|12.7
IOST|아이오에스티|IOST|3.74
SC|시아코인|Siacoin|3.52
BTT|비트토렌트|BitTorrent|0.000794
ENA|에테나|Ethena|611
ONDO|온도파이낸스|Ondo Finance|1043
WLD|월드코인|Worldcoin|1187
TRUMP|오피셜트럼프|Official Trump|9120
BERA|베라체인|Berachain|2196
VIRTUAL|버추얼프로토콜|Virtuals Protocol|1527
JUP|주피터|Jupiter|543
PYTH|피스네트워크|Pyth Network|162
STRK|스타크넷|Starknet|178
BLUR|블러|Blur|88.1
MINA|미나|Mina|203
GRT|그래프|The Graph|103
HIVE|하이브|Hive|264
STEEM|스팀|Steem|176
SXP|솔라|Solar|214
POLYX|폴리매쉬|Polymesh|152
ARDR|아더|Ardor|98.4
ARK|아크|Ark|512
LSK|리스크|Lisk|447
PUNDIX|펀디엑스|Pundi X|389
AERGO|아르고|Aergo|131
"""

_SYMBOLS = """
CKB GAS BLAST TIA RENDER INJ FIL LPT COMP MKR UNI CRV SNX YGG MASK ENS RAY EGLD GALA CELO THETA TFUEL IOTA ELF KNC LOOM
ANKR JST MLK STPT ORBS VTHO TT META MOC MVL MED MTL PLA POLA POWR SNT STRAX TON TOKAMAK UPP XEC XEM CVC DKA DAWN CRO CBK
BORA BIGTIME BSV AQT AHT 1INCH AUCTION AKT ASTR ARKM ATH BEAM BOUNTY CARV COW CTC CYBER DENT DRIFT EIGEN ETHFI FCT FLUX
FORT G GMT GRS HPO HUNT HIFI ID IQ JASMY KAITO LAYER LWA MEW MOCA MOVE NCT NKN NMR OM ONG OXT PENDLE PENGU POL PROM QKC
RVN SAFE SIGN SONIC STG SUN SWELL T TAIKO TDROP UXLINK VANA W WAXP XPLA ZETA ZRO ZK ACS ALT AGLD API3 BABY BONK BSW COTI
CVX DEEP DYDX ELA FIDA FLOKI FORM FTM GNO GODS GTC HAEDAL HFT HOOK HYPER IO INIT JTO KERNEL KSM LA LDO LISTA LRC MAGIC
MAV ME MBL MERL MNT MON MORPHO NEWT NIL NXPC ORCA OMNI ORDER OSMO PARTI PEAQ PIXEL PLUME POKT PROVE PYR QI QNT RAD RED
RLC RLY RONIN RPL RSR S SAHARA SAGA SCR SOON SOPH SPK SPELL SSV SUPER SYRUP SUSHI TNSR TOSHI TREE TRB USD1 UMA VVV WCT
WIF WOO XYO YFI ZORA ZEC ZEN ZKC
"""


def _named() -> list[Market]:
    rows = [row.split("|") for row in _NAMED.split("\n") if row]
    return [Market(f"KRW-{s}", korean, english, _price_units(price)) for s, korean, english, price in rows]


def _price_units(price: str) -> int:
    whole, _, fraction = price.partition(".")
    return int(whole) * UNIT + int(fraction.ljust(8, "0"))


def markets(count: int) -> list[Market]:
    """Returns the first `count` markets; beyond the real-looking ones numbered symbols follow."""
    listed = _named()
    listed += [Market(f"KRW-{symbol}", symbol, symbol.title()) for symbol in _SYMBOLS.split()]
    listed += [Market(f"KRW-LC{n:04d}", f"로컬{n}", f"Local {n}") for n in range(len(listed), count)]
    return listed[:count]


def further(code: str) -> Market:
    """Returns a market that is listed at run time."""
    symbol = code.partition("-")[2]
    return Market(code, symbol, symbol.title())
