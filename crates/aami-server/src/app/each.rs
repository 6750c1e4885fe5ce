//! The same work for each of many things, of which one that fails holds up none of the others.

use std::future::Future;

use futures::StreamExt as _;

use super::Refusal;

/// How many are worked on at once.
const TOGETHER: usize = 16;

/// Does `work` for every one of `things`, whatever comes of the others. Fails with the first refusal there was, once all
/// have had their turn.
pub(super) async fn each<T, W>(
    things: impl IntoIterator<Item = T>,
    work: impl Fn(T) -> W,
) -> Result<(), Refusal>
where
    W: Future<Output = Result<(), Refusal>>,
{
    futures::stream::iter(things)
        .map(work)
        .buffer_unordered(TOGETHER)
        .fold(Ok(()), |first: Result<(), Refusal>, result| async {
            first.and(result)
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn one_that_fails_holds_up_no_other_and_is_told() {
        let done = Mutex::new(Vec::new());
        let result = each(0..40, |n| {
            let done = &done;
            async move {
                if n == 3 {
                    return Err(Refusal::not_found("three"));
                }
                done.lock().unwrap().push(n);
                Ok(())
            }
        })
        .await;
        assert!(result.is_err());
        assert_eq!(done.into_inner().unwrap().len(), 39);
    }
}
