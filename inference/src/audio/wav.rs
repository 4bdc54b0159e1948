//! The header of a WAV file of mono 16-bit samples.

use super::marks::Marks;

/// The header for `data_bytes` of samples; for a length that is not known yet
/// the largest there is, which players take as "until the end". Marks are a LIST
/// chunk before the samples, as nothing can come after those of a stream.
pub(crate) fn header(sample_rate: u32, data_bytes: Option<u32>, marks: Option<&Marks>) -> Vec<u8> {
    let mut format = Vec::from(1_u16.to_le_bytes()); // integer samples
    format.extend(1_u16.to_le_bytes()); // one channel
    format.extend(sample_rate.to_le_bytes());
    format.extend((sample_rate * 2).to_le_bytes()); // bytes per second
    format.extend(2_u16.to_le_bytes()); // bytes per sample of all channels
    format.extend(16_u16.to_le_bytes()); // bits per sample
    let mut chunks = b"WAVE".to_vec();
    put(&mut chunks, *b"fmt ", &format);
    if let Some(marks) = marks {
        put(&mut chunks, *b"LIST", &info(marks));
    }
    let data = data_bytes.unwrap_or(u32::MAX);
    chunks.extend(b"data");
    chunks.extend(data.to_le_bytes());
    let mut header = b"RIFF".to_vec();
    header.extend(data.saturating_add(chunks.len() as u32).to_le_bytes());
    header.append(&mut chunks);
    header
}

fn info(marks: &Marks) -> Vec<u8> {
    let mut info = b"INFO".to_vec();
    for (name, value) in marks.fields() {
        let id = match name {
            "COMMENT" => *b"ICMT",
            "DATE" => *b"ICRD",
            "ENCODER" => *b"ISFT",
            _ => *b"AIGC",
        };
        put(&mut info, id, &[value.as_bytes(), b"\0"].concat());
    }
    info
}

/// Appends a chunk, which begins at an even place.
fn put(chunks: &mut Vec<u8>, id: [u8; 4], content: &[u8]) {
    chunks.extend(id);
    chunks.extend((content.len() as u32).to_le_bytes());
    chunks.extend(content);
    if content.len() % 2 == 1 {
        chunks.push(0);
    }
}
