//! The variable store. Invariant: what is not changed is written back as it was read, and nothing that is not
//! understood is touched: an unknown layout is an error.

/// `EFI_GLOBAL_VARIABLE` 8be4df61-93ca-11d2-aa0d-00e098032b8c, in file order.
const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];
/// aaf32c78-947b-439a-a180-2e144ec37792: a store with authenticated variable headers.
const AUTHENTICATED: [u8; 16] = [
    0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92,
];

const STORE_HEADER: usize = 28;
const VARIABLE_HEADER: usize = 60;
const ADDED: u8 = 0x3f;
/// Being replaced when power went: valid unless its replacement is complete.
const ADDED_IN_DELETION: u8 = 0x3e;
/// Non-volatile, for boot services and runtime.
const NON_VOLATILE: u32 = 7;

/// All valid variables of a flash file.
#[derive(Debug)]
pub(crate) struct Variables {
    file: Vec<u8>,
    /// Where variables begin and the store ends.
    begin: usize,
    end: usize,
    list: Vec<Variable>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Variable {
    /// The header's bytes from `Reserved` to `PubKeyIndex`, kept as they are (attributes are the first four after one).
    head: [u8; 33],
    guid: [u8; 16],
    /// UTF-16 with its terminator.
    name: Vec<u8>,
    data: Vec<u8>,
}

impl Variables {
    pub(crate) fn parse(file: Vec<u8>) -> Result<Self, String> {
        let volume = u16_at(&file, 48)
            .map(usize::from)
            .filter(|_| file.get(40..44) == Some(b"_FVH"));
        let volume = volume.ok_or("no firmware volume at its start")?;
        if file.get(volume..volume + 16) != Some(&AUTHENTICATED[..]) {
            return Err("not an authenticated variable store".to_owned());
        }
        let size = u32_at(&file, volume + 16).ok_or("truncated")?;
        let (begin, end) = (volume + STORE_HEADER, volume.saturating_add(size));
        if file.len() < end {
            return Err("variable store longer than the file".to_owned());
        }
        let mut list: Vec<(u8, Variable)> = Vec::new();
        let mut at = begin;
        while u16_at(&file, at) == Some(0x55aa) && at < end {
            let (state, variable, next) =
                read(&file, at).ok_or_else(|| format!("bad variable at offset {at}"))?;
            if state == ADDED || state == ADDED_IN_DELETION {
                list.push((state, variable));
            }
            at = next;
        }
        let complete: Vec<(Vec<u8>, [u8; 16])> = list
            .iter()
            .filter(|(state, _)| *state == ADDED)
            .map(|(_, v)| (v.name.clone(), v.guid))
            .collect();
        list.retain(|(state, v)| *state == ADDED || !complete.contains(&(v.name.clone(), v.guid)));
        Ok(Self {
            list: list.into_iter().map(|(_, variable)| variable).collect(),
            file,
            begin,
            end,
        })
    }

    /// The whole file, with only valid variables in it.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let mut bytes = self.file.clone();
        let area = bytes.get_mut(self.begin..self.end).ok_or("truncated")?;
        area.fill(0xff);
        let mut at = 0usize;
        for variable in &self.list {
            let content = variable.to_bytes()?;
            let next = at.saturating_add(content.len()).next_multiple_of(4);
            area.get_mut(at..at + content.len())
                .ok_or("variable store full")?
                .copy_from_slice(&content);
            at = next;
        }
        Ok(bytes)
    }

    /// The data of a global variable.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let name = utf16(name);
        self.list
            .iter()
            .find(|v| v.guid == GLOBAL && v.name == name)
            .map(|v| v.data.as_slice())
    }

    /// Names of all global variables.
    pub(crate) fn names(&self) -> Vec<String> {
        self.list
            .iter()
            .filter(|v| v.guid == GLOBAL)
            .map(|v| from_utf16(&v.name))
            .collect()
    }

    /// Writes a non-volatile global variable.
    pub(crate) fn set(&mut self, name: &str, data: Vec<u8>) {
        let name = utf16(name);
        if let Some(variable) = self.list.iter_mut().find(|v| v.guid == GLOBAL && v.name == name) {
            variable.data = data;
            return;
        }
        let mut head = [0u8; 33];
        head[1..5].copy_from_slice(&NON_VOLATILE.to_le_bytes());
        self.list.push(Variable {
            head,
            guid: GLOBAL,
            name,
            data,
        });
    }
}

impl Variable {
    fn to_bytes(&self) -> Result<Vec<u8>, String> {
        let length = |part: &[u8]| {
            u32::try_from(part.len())
                .map(u32::to_le_bytes)
                .map_err(|_| "variable too long")
        };
        let mut bytes = vec![0xaa, 0x55, ADDED];
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(&length(&self.name)?);
        bytes.extend_from_slice(&length(&self.data)?);
        bytes.extend_from_slice(&self.guid);
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(&self.data);
        Ok(bytes)
    }
}

/// State, variable and offset of the next one.
fn read(file: &[u8], at: usize) -> Option<(u8, Variable, usize)> {
    let state = *file.get(at + 2)?;
    let head: [u8; 33] = file.get(at + 3..at + 36)?.try_into().ok()?;
    let (name_size, data_size) = (u32_at(file, at + 36)?, u32_at(file, at + 40)?);
    let guid: [u8; 16] = file.get(at + 44..at + VARIABLE_HEADER)?.try_into().ok()?;
    let name_at = at + VARIABLE_HEADER;
    let data_at = name_at.checked_add(name_size)?;
    let end = data_at.checked_add(data_size)?;
    let variable = Variable {
        head,
        guid,
        name: file.get(name_at..data_at)?.to_vec(),
        data: file.get(data_at..end)?.to_vec(),
    };
    Some((state, variable, end.next_multiple_of(4)))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
    .ok()
}

/// UTF-16LE with terminator.
pub(super) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

fn from_utf16(bytes: &[u8]) -> String {
    let units = bytes
        .chunks_exact(2)
        .filter_map(|pair| Some(u16::from_le_bytes(pair.try_into().ok()?)));
    char::decode_utf16(units.take_while(|unit| *unit != 0))
        .map(|c| c.unwrap_or('?'))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An empty store of 4 KiB behind a firmware volume header.
    pub(in crate::nvram) fn blank() -> Vec<u8> {
        let mut file = vec![0u8; 72];
        file[40..44].copy_from_slice(b"_FVH");
        file[48..50].copy_from_slice(&72u16.to_le_bytes());
        file.extend_from_slice(&AUTHENTICATED);
        file.extend_from_slice(&4096u32.to_le_bytes());
        file.extend_from_slice(&[0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        file.resize(72 + 4096 + 100, 0xff);
        file
    }

    #[test]
    fn what_is_written_is_read() {
        let mut vars = Variables::parse(blank()).unwrap();
        vars.set("BootNext", vec![7, 0]);
        vars.set("Odd", vec![1, 2, 3]);
        vars.set("BootOrder", vec![0, 0, 1, 0]);
        vars.set("BootNext", vec![9, 0]);
        let bytes = vars.to_bytes().unwrap();
        assert_eq!(bytes.len(), blank().len());
        let again = Variables::parse(bytes.clone()).unwrap();
        assert_eq!(again.names(), ["BootNext", "Odd", "BootOrder"]);
        assert_eq!(again.get("BootNext").unwrap(), [9, 0]);
        assert_eq!(again.get("Odd").unwrap(), [1, 2, 3]);
        assert_eq!(again.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn deleted_variables_go_and_interrupted_ones_stay() {
        let mut vars = Variables::parse(blank()).unwrap();
        for name in ["A", "B", "C", "B2"] {
            vars.set(name, vec![1]);
        }
        let mut bytes = vars.to_bytes().unwrap();
        let step = (VARIABLE_HEADER + 4 + 1).next_multiple_of(4);
        bytes[vars.begin + 2] = 0x3d; // A is deleted
        bytes[vars.begin + step + 2] = ADDED_IN_DELETION; // B was being replaced, its successor never came
        let read = Variables::parse(bytes).unwrap();
        assert_eq!(read.names(), ["B", "C", "B2"]);
    }

    #[test]
    fn what_is_not_a_store_is_refused() {
        assert!(Variables::parse(Vec::new()).is_err());
        assert!(Variables::parse(vec![0; 5000]).is_err());
        let mut other = blank();
        other[72] ^= 1;
        assert!(Variables::parse(other).is_err());
        let mut short = blank();
        short.truncate(200);
        assert!(Variables::parse(short).is_err());
        let mut vars = Variables::parse(blank()).unwrap();
        vars.set("Long", vec![0; 5000]);
        assert!(vars.to_bytes().unwrap_err().contains("full"));
    }

    #[test]
    fn no_damage_panics() {
        let mut vars = Variables::parse(blank()).unwrap();
        vars.set("BootNext", vec![1, 0]);
        let good = vars.to_bytes().unwrap();
        for at in 0..220 {
            for value in [0, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                if let Ok(read) = Variables::parse(bytes) {
                    let _ = read.to_bytes();
                }
            }
        }
    }
}
