// Checks with names, each of which says on a line of JSON how it went.

export function expect(condition, what) {
  if (!condition) throw new Error(typeof what === 'string' ? what : JSON.stringify(what));
}

// The error that `ask` fails with.
export async function refusal(ask) {
  try {
    await ask();
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}

// Runs all checks, or those whose names are given after the two arguments of the program.
export async function run(checks, say = console.log) {
  const wanted = process.argv.slice(4);
  for (const [name, check] of Object.entries(checks)) {
    if (wanted.length && !wanted.includes(name)) continue;
    let error = null;
    try {
      await check();
    } catch (caught) {
      error = String(caught.stack ?? caught);
    }
    say(JSON.stringify({ check: name, error }));
  }
}
