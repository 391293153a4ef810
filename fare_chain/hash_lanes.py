"""SHA-256 over sixteen rows at once, compiled for this processor when asked for: FIPS 180-4, a lane of a vector for each row.

A short message costs hashlib ten times its hash in bookkeeping. Here LLVM compiles the rounds once, over vectors of
16 words (AVX-512; two halves on AVX2, quarters on SSE and NEON), and a call hashes any number of rows without the interpreter's
lock. `row_hashing` decides when that is worth it, and has the plain way beside it.
"""

import ctypes
import hashlib
from collections.abc import Callable, Iterable
from math import isqrt
from typing import Any

LANES = 16
_BLOCK_BYTES = 64
_LENGTH_BYTES = 8
_VECTOR = f"<{LANES} x i32>"
_CHECKED_WIDTHS = (1, 54, 55, 63, 64, 80, 119, 300)
"""Row widths around the edges of padding, which are compared with hashlib's before lanes are used."""

RowsHasher = Callable[[bytes, bytes, int], bytes]
"""(prefix, rows, width of a row) to the digests of prefix + row, 32 bytes each, one behind the other."""


def compile_lanes() -> RowsHasher | None:
    """Compile for this processor; None where LLVM is not installed, cannot compile here, or does not hash as hashlib does."""
    try:
        hash_rows = _compile()
    except (ImportError, OSError, RuntimeError):
        return None
    run = bytes(range(256)) * 20
    for width in _CHECKED_WIDTHS:
        rows = run[: width * (LANES + 1)]
        expected = [hashlib.sha256(b"\x00" + rows[at : at + width]).digest() for at in range(0, len(rows), width)]
        if hash_rows(b"\x00", rows, width) != b"".join(expected):
            return None
    return hash_rows


def _compile() -> RowsHasher:
    import llvmlite.binding as llvm  # noqa: PLC0415  whoever hashes little never loads it

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=2)
    module = llvm.parse_assembly(f"{_compression()}\n{_loops()}\n{_ATTRIBUTES}")
    module.verify()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    native = ctypes.CFUNCTYPE(
        None, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p
    )(engine.get_function_address("hash_rows"))
    return _callable(native, engine)


def _callable(native: Callable[..., None], engine: Any) -> RowsHasher:
    """The compiled function as a RowsHasher; it keeps the engine, whose memory the code lies in."""

    def hash_rows(prefix: bytes, rows: bytes, width: int, _engine: Any = engine) -> bytes:
        count, begun = len(rows) // width, len(prefix) + width
        blocks = (begun + 1 + _LENGTH_BYTES + _BLOCK_BYTES - 1) // _BLOCK_BYTES
        zeros = bytes(blocks * _BLOCK_BYTES - begun - 1 - _LENGTH_BYTES)
        # Each lane's message with its padding; the loops put the rows into their places, group after group.
        padded = prefix + bytes(width) + b"\x80" + zeros + (8 * begun).to_bytes(_LENGTH_BYTES, "big")
        lanes = ctypes.create_string_buffer(padded * LANES, LANES * len(padded))
        digests = ctypes.create_string_buffer(hashlib.sha256().digest_size * count)
        native(rows, width, count, lanes, len(prefix), blocks, digests)
        return digests.raw

    return hash_rows


class _Code:
    """Instructions over vectors, each with a name of its own."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, instruction: str) -> str:
        """Add one instruction; its result's name."""
        name = f"%v{len(self.lines)}"
        self.lines.append(f"  {name} = {instruction}")
        return name

    def fold(self, operation: str, first: str, *others: str) -> str:
        """One operation over all operands, from left to right."""
        for other in others:
            first = self.put(f"{operation} {_VECTOR} {first}, {other}")
        return first

    def rotations(self, word: str, *turns: int) -> str:
        """The exclusive or of a word turned right by so many bits each."""
        turned = [
            self.put(f"call {_VECTOR} @llvm.fshr.v16i32({_VECTOR} {word}, {_VECTOR} {word}, {_VECTOR} {_splat(turn)})")
            for turn in turns
        ]
        return self.fold("xor", *turned)

    def small_sigma(self, word: str, one: int, two: int, shift: int) -> str:
        """FIPS 180-4's sigma of the message schedule: two turns and a shift."""
        shifted = self.put(f"lshr {_VECTOR} {word}, {_splat(shift)}")
        return self.fold("xor", self.rotations(word, one, two), shifted)


def _splat(number: int) -> str:
    return "<" + ", ".join([f"i32 {number}"] * LANES) + ">"


def _compression() -> str:
    """One block of every lane into their states: (state: 8 vectors, the first lane's block, bytes from lane to lane)."""
    code = _Code()
    words = _message_words(code)
    places = [code.put(f"getelementptr i8, ptr %state, i64 {4 * LANES * number}") for number in range(8)]
    begin = [code.put(f"load {_VECTOR}, ptr {place}, align 64") for place in places]
    a, b, c, d, e, f, g, h = begin
    for turn, constant in enumerate(_ROUND_CONSTANTS):
        if turn >= LANES:
            words[turn % 16] = _next_word(code, words, turn)
        chosen = code.fold("xor", g, code.fold("and", e, code.fold("xor", f, g)))
        word = code.fold("add", words[turn % 16], _splat(constant))
        one = code.fold("add", h, code.rotations(e, 6, 11, 25), chosen, word)
        most = code.fold("or", code.fold("and", a, b), code.fold("and", c, code.fold("or", a, b)))
        two = code.fold("add", code.rotations(a, 2, 13, 22), most)
        a, b, c, d, e, f, g, h = code.fold("add", one, two), a, b, c, code.fold("add", d, one), e, f, g
    stores = [
        f"  store {_VECTOR} {code.fold('add', old, new)}, ptr {place}, align 64"
        for place, old, new in zip(places, begin, (a, b, c, d, e, f, g, h), strict=True)
    ]
    lines = ["define internal void @compress(ptr %state, ptr %block, i64 %stride) #0 {", *code.lines, *stores, "  ret void", "}"]
    return "\n".join(lines)


def _next_word(code: _Code, words: list[str], turn: int) -> str:
    """The message schedule from its seventeenth word on."""
    early = code.small_sigma(words[(turn + 1) % 16], 7, 18, 3)
    late = code.small_sigma(words[(turn + 14) % 16], 17, 19, 10)
    return code.fold("add", words[turn % 16], early, words[(turn + 9) % 16], late)


def _message_words(code: _Code) -> list[str]:
    """Word t of every lane in vector t: the lanes' blocks are the rows of a matrix of 16 x 16 words, turned over its diagonal."""
    rows = []
    for lane in range(LANES):
        offset = code.put(f"mul i64 %stride, {lane}")
        place = code.put(f"getelementptr i8, ptr %block, i64 {offset}")
        row = code.put(f"load {_VECTOR}, ptr {place}, align 1")
        rows.append(code.put(f"call {_VECTOR} @llvm.bswap.v16i32({_VECTOR} {row})"))
    for half in (1, 2, 4, 8):
        upper = _mask(at if not at & half else LANES + at - half for at in range(LANES))
        lower = _mask(at + half if not at & half else LANES + at for at in range(LANES))
        for one in (row for row in range(LANES) if not row & half):
            pair = f"{_VECTOR} {rows[one]}, {_VECTOR} {rows[one + half]}"
            rows[one] = code.put(f"shufflevector {pair}, {upper}")
            rows[one + half] = code.put(f"shufflevector {pair}, {lower}")
    return rows


def _mask(places: Iterable[int]) -> str:
    return f"{_VECTOR} <" + ", ".join(f"i32 {place}" for place in places) + ">"


def _loops() -> str:
    """The exported function: groups of sixteen rows; fill the lanes, compress block by block, write digests."""
    starts = [
        f"  %s{number} = getelementptr i8, ptr %state, i64 {4 * LANES * number}\n"
        f"  store {_VECTOR} {_splat(word)}, ptr %s{number}, align 64"
        for number, word in enumerate(_FIRST_STATE)
    ]
    writes = [
        f"  %p{number} = getelementptr [8 x {_VECTOR}], ptr %state, i64 0, i64 {number}, i64 %written\n"
        f"  %x{number} = load i32, ptr %p{number}, align 4\n"
        f"  %y{number} = call i32 @llvm.bswap.i32(i32 %x{number})\n"
        f"  %q{number} = getelementptr i8, ptr %digest, i64 {4 * number}\n"
        f"  store i32 %y{number}, ptr %q{number}, align 1"
        for number in range(8)
    ]
    return _LOOPS.format(vector=_VECTOR, lanes=LANES, starts="\n".join(starts), writes="\n".join(writes))


_LOOPS = """
define void @hash_rows(ptr %rows, i64 %width, i64 %count, ptr %lanes, i64 %offset, i64 %blocks, ptr %digests) #0 {{
entry:
  %state = alloca [8 x {vector}], align 64
  %stride = shl i64 %blocks, 6
  br label %group
group:
  %first = phi i64 [0, %entry], [%next, %written_all]
  %more = icmp ult i64 %first, %count
  br i1 %more, label %begin, label %end
begin:
  %next = add i64 %first, {lanes}
  %left = sub i64 %count, %first
  %is_last = icmp ult i64 %left, {lanes}
  %here = select i1 %is_last, i64 %left, i64 {lanes}
{starts}
  br label %fill
fill:
  %lane = phi i64 [0, %begin], [%lane_after, %fill]
  %row = add i64 %first, %lane
  %row_at = mul i64 %row, %width
  %source = getelementptr i8, ptr %rows, i64 %row_at
  %lane_at = mul i64 %lane, %stride
  %target_at = add i64 %lane_at, %offset
  %target = getelementptr i8, ptr %lanes, i64 %target_at
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %source, i64 %width, i1 false)
  %lane_after = add i64 %lane, 1
  %fills_on = icmp ult i64 %lane_after, %here
  br i1 %fills_on, label %fill, label %hash
hash:
  %number = phi i64 [0, %fill], [%number_after, %hash]
  %block_at = shl i64 %number, 6
  %block = getelementptr i8, ptr %lanes, i64 %block_at
  call void @compress(ptr %state, ptr %block, i64 %stride)
  %number_after = add i64 %number, 1
  %hashes_on = icmp ult i64 %number_after, %blocks
  br i1 %hashes_on, label %hash, label %write
write:
  %written = phi i64 [0, %hash], [%written_after, %write]
  %digest_row = add i64 %first, %written
  %digest_at = shl i64 %digest_row, 5
  %digest = getelementptr i8, ptr %digests, i64 %digest_at
{writes}
  %written_after = add i64 %written, 1
  %writes_on = icmp ult i64 %written_after, %here
  br i1 %writes_on, label %write, label %written_all
written_all:
  br label %group
end:
  ret void
}}
declare {vector} @llvm.fshr.v16i32({vector}, {vector}, {vector})
declare {vector} @llvm.bswap.v16i32({vector})
declare i32 @llvm.bswap.i32(i32)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""
_ATTRIBUTES = 'attributes #0 = { nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" }'


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(number: int) -> int:
    """The greatest whole number whose cube is not greater."""
    low, high = 0, 1 << (number.bit_length() // 3 + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= number else (low, middle)
    return low


_ROUND_CONSTANTS = [_cube_root(prime << 96) & 0xFFFFFFFF for prime in _primes(64)]
"""The first 32 bits after the point of the cube roots of the first 64 primes."""
_FIRST_STATE = [isqrt(prime << 64) & 0xFFFFFFFF for prime in _primes(8)]
"""The first 32 bits after the point of the square roots of the first 8 primes."""
