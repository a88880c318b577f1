use crate::mock::*;

#[test]
fn a_channel_is_opened() {
    TestExt::new().execute_with(|| {
        opened();
    });
}
