mod bond;
mod draw;
mod earnings;
mod market;
mod money;
mod offers;
mod registration;
