"""A small valid PDF of an invoice: one page of text, a standard font, no library."""

from typing import Any

from metronome_sandbox.wire import dump

LINES_ON_A_PAGE = 46


def invoice_pdf(invoice: dict[str, Any], customer_name: str) -> bytes:
    unit = invoice["credit_type"]["name"]
    text = [
        f"Invoice {invoice['id']}",
        f"Customer: {customer_name}",
        f"Status: {invoice['status']}   Type: {invoice['type']}",
        f"Issued: {dump(invoice['issued_at'])[1:-1]}",
        "",
        *(
            f"{line['name']}: {dump(line['total'])} {line['credit_type']['name']}"
            for line in invoice["line_items"]
        ),
        "",
        f"Total: {dump(invoice['total'])} {unit}",
    ]
    if len(text) > LINES_ON_A_PAGE:
        kept = LINES_ON_A_PAGE - 3
        text = [
            *text[:kept],
            f"... and {len(invoice['line_items']) - kept + 5} more lines",
            *text[-2:],
        ]
    shown = "".join(f"({_escape(line)}) Tj T*\n" for line in text)
    return _document(f"BT /F1 11 Tf 56 790 Td 16 TL\n{shown}ET".encode("latin-1", "replace"))


def _escape(line: str) -> str:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")


def _document(content: bytes) -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    result = b"%PDF-1.4\n"
    offsets = []
    for index, body in enumerate(objects, start=1):
        offsets.append(len(result))
        result += b"%d 0 obj\n%s\nendobj\n" % (index, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(result)
    result += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return result + b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
