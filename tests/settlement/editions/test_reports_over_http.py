"""Every report of the catalogue over HTTP: who may pull it, twice the same bytes, and what its totals are."""

from settlement.reports.catalogue import REPORTS, Readers


def party_for(report):
    return {} if report.readers is Readers.PUBLIC else {"for_": "alder"}


def test_every_report_comes_in_every_form_and_twice_the_same_bytes(asking):
    async def story(client):
        for report in REPORTS.values():
            for form in report.forms:
                for basis in report.bases:
                    given = {"format": form, "basis": basis, **party_for(report)}
                    size = client.house.clearing.state.next_index
                    first = await client.file(report.name, 1, **given)
                    await client.house.seal_windows()
                    again = await client.file(report.name, 1, as_of=size, **given)
                    assert first == again, (report.name, form, basis)

    asking(story)
