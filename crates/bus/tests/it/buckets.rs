//! Keys are compared before they are changed, and watched from their present value on.

use crate::declared;

#[tokio::test]
async fn a_key_is_created_once_and_updated_only_at_its_revision() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let bucket = bus.bucket("settings").await?;
    let first = bucket.create("thread.1", b"a".to_vec()).await?.expect("it is new");
    assert_eq!(bucket.create("thread.1", b"b".to_vec()).await?, None);
    let second = bucket.update("thread.1", b"c".to_vec(), first).await?.expect("nobody else wrote");
    assert_eq!(bucket.update("thread.1", b"d".to_vec(), first).await?, None);
    let entry = bucket.get("thread.1").await?.expect("it is there");
    assert_eq!((&entry.value[..], entry.revision), (&b"c"[..], second));
    Ok(())
}

#[tokio::test]
async fn a_deleted_key_has_no_value_and_can_be_created_again() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let bucket = bus.bucket("settings").await?;
    bucket.put("thread.1", b"a".to_vec()).await?;
    bucket.delete("thread.1").await?;
    assert_eq!(bucket.get("thread.1").await?, None);
    assert!(bucket.keys("thread.").await?.is_empty());
    assert!(bucket.create("thread.1", b"b".to_vec()).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn keys_are_listed_by_their_beginning() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let bucket = bus.bucket("settings").await?;
    assert!(bucket.keys("").await?.is_empty());
    for key in ["thread.1", "thread.2", "listen.1"] {
        bucket.put(key, Vec::new()).await?;
    }
    let mut keys = bucket.keys("thread.").await?;
    keys.sort();
    assert_eq!(keys, ["thread.1", "thread.2"]);
    Ok(())
}

#[tokio::test]
async fn a_watch_begins_with_what_is_there() -> anyhow::Result<()> {
    let (_server, bus) = declared().await?;
    let bucket = bus.bucket("settings").await?;
    bucket.put("thread.1", b"a".to_vec()).await?;
    let mut watch = bucket.watch("thread.*").await?;
    let present = watch.next().await?;
    assert_eq!((present.key.as_str(), present.value.as_deref()), ("thread.1", Some(&b"a"[..])));
    bucket.delete("thread.1").await?;
    let gone = watch.next().await?;
    assert_eq!((gone.key.as_str(), gone.value), ("thread.1", None));
    Ok(())
}
