//! Adds a section to an object, or gives it new contents. Everything else stays where it is: the new bytes, the names and the table
//! of sections go to the end.

/// A number of an ELF header or a section header.
fn read(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let field = bytes.get(at..at.checked_add(width)?)?;
    Some(field.iter().rev().fold(0, |v, b| v << 8 | u64::from(*b)))
}

fn write(bytes: &mut [u8], at: usize, width: usize, value: u64) -> Option<()> {
    bytes.get_mut(at..at.checked_add(width)?)?.copy_from_slice(&value.to_le_bytes()[..width]);
    Some(())
}

/// Bytes of a section header.
const HEADER: usize = 64;

/// The object with this section; `None` if it is not one, or has as many sections as it can have.
pub fn with_section(object: &[u8], name: &str, data: &[u8]) -> Option<Vec<u8>> {
    let table = usize::try_from(read(object, 0x28, 8)?).ok()?;
    let count = read(object, 0x3c, 2)? as usize;
    let names_index = read(object, 0x3e, 2)? as usize;
    let mut headers = object.get(table..table.checked_add(count.checked_mul(HEADER)?)?)?.to_vec();
    let names_header = names_index.checked_mul(HEADER)?;
    let names_at = usize::try_from(read(&headers, names_header + 24, 8)?).ok()?;
    let names_size = usize::try_from(read(&headers, names_header + 32, 8)?).ok()?;
    let mut names = object.get(names_at..names_at.checked_add(names_size)?)?.to_vec();
    let named = |index: &usize| {
        let at = read(&headers, index * HEADER, 4).unwrap_or(u64::MAX) as usize;
        names
            .get(at..)
            .is_some_and(|n| n.strip_prefix(name.as_bytes()).is_some_and(|r| r.first() == Some(&0)))
    };
    let index = (0..count).find(named);
    let mut whole = object.to_vec();
    let mut append = |bytes: &[u8]| {
        whole.resize(whole.len().next_multiple_of(8), 0);
        let at = whole.len() as u64;
        whole.extend(bytes);
        at
    };
    let data_at = append(data);
    let index = match index {
        Some(index) => index,
        None => {
            let name_at = names.len() as u64;
            names.extend(name.as_bytes());
            names.push(0);
            let names_new = append(&names);
            write(&mut headers, names_header + 24, 8, names_new)?;
            write(&mut headers, names_header + 32, 8, names.len() as u64)?;
            headers.resize(headers.len() + HEADER, 0);
            let header = count * HEADER;
            write(&mut headers, header, 4, name_at)?;
            // Bytes of the program's (SHT_PROGBITS), aligned to 1.
            write(&mut headers, header + 4, 4, 1)?;
            write(&mut headers, header + 48, 8, 1)?;
            count
        }
    };
    write(&mut headers, index * HEADER + 24, 8, data_at)?;
    write(&mut headers, index * HEADER + 32, 8, data.len() as u64)?;
    let table = append(&headers);
    let count = u16::try_from(headers.len() / HEADER).ok()?;
    write(&mut whole, 0x28, 8, table)?;
    write(&mut whole, 0x3c, 2, count.into())?;
    Some(whole)
}
