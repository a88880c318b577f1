mod calls;
mod catalogue;
mod money;
