mod bond;
mod earnings;
mod market;
mod money;
mod offers;
mod registration;
